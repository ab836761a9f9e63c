"""What a process may use of its machine: never more than a container or a batch job was given."""

import json
import os
import subprocess
import sys

import psutil
import pytest

import tokenworth.base.machine as machine
from tokenworth.base.machine import free_memory, memory, processors
from tokenworth.cli import main

GB = 1_000_000_000


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{text}\n")


def version_2(folder, limit, used, read_once=0):
    group(folder, memory_max=limit, memory_current=used, memory_stat=f"anon {used}\ninactive_file {read_once}")


def version_1(folder, limit, used, read_once=0):
    stat = f"inactive_file 1\ntotal_inactive_file {read_once}"
    group(folder, memory_limit_in_bytes=limit, memory_usage_in_bytes=used, memory_stat=stat)


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A machine of 64 GB whose groups are those of this folder."""
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(machine, "_MOUNTED", tmp_path / "mounted")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 64 * GB, "total": 96 * GB}))
    return tmp_path / "mounted"


def belongs_to(groups, *lines):
    (groups.parent / "own").write_text("".join(f"{line}\n" for line in lines))


def test_without_groups_all_that_is_available_is_free(groups):
    assert free_memory() == 64 * GB
    belongs_to(groups, "0::/nowhere", "no line of such a file")
    assert free_memory() == 64 * GB


def test_a_container_sees_its_own_group_as_the_root(groups):
    belongs_to(groups, "0::/")
    version_2(groups, "max", 3 * GB)
    assert free_memory() == 64 * GB, "no limit was set"
    version_2(groups, 8 * GB, 3 * GB)
    assert free_memory() == 5 * GB
    version_2(groups, 8 * GB, 9 * GB)
    assert free_memory() == 0


def test_a_process_may_have_what_the_smallest_of_its_groups_may(groups):
    assert memory() == 96 * GB
    belongs_to(groups, "0::/pod/main")
    version_2(groups / "pod" / "main", "max", 3 * GB)
    assert memory() == 96 * GB
    version_2(groups / "pod", 8 * GB, 3 * GB)
    assert memory() == 8 * GB
    belongs_to(groups, "4:memory:/job")
    version_1(groups / "memory" / "job", 2 * GB, GB)
    assert memory() == 2 * GB


def test_files_that_were_read_once_do_not_fill_a_group(groups):
    """A container that has read ten gigabytes of texts has not used its memory up."""
    belongs_to(groups, "0::/")
    version_2(groups, 16 * GB, 15 * GB, read_once=10 * GB)
    assert free_memory() == 11 * GB


def test_every_group_above_has_a_say(groups):
    """A batch job: its own step has no limit, the job has."""
    belongs_to(groups, "0::/jobs/17/step")
    version_2(groups / "jobs" / "17" / "step", "max", GB)
    version_2(groups / "jobs" / "17", 4 * GB, 1 * GB)
    version_2(groups / "jobs", 40 * GB, 2 * GB)
    assert free_memory() == 3 * GB


def test_groups_of_version_1(groups):
    belongs_to(groups, "5:cpu,cpuacct:/small", "4:memory:/jobs/17", "0::/")
    version_1(groups / "memory" / "small", 1, 1)
    version_1(groups / "memory" / "jobs" / "17", 6 * GB, 4 * GB, read_once=GB)
    version_1(groups / "memory", 2**63 - 4096, 30 * GB)
    assert free_memory() == 3 * GB


def test_a_container_of_version_1_may_not_see_its_own_path(groups):
    belongs_to(groups, "4:memory:/docker/0123")
    version_1(groups / "memory", 2 * GB, GB)
    assert free_memory() == GB


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system ties no process to processors")
def test_processors_are_those_the_process_is_tied_to():
    assert 1 <= processors() <= (os.cpu_count() or 1)
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from tokenworth.base.machine import processors; print(processors())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1"]


def test_processors_are_those_whose_time_the_groups_give(groups, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert processors() == 64
    belongs_to(groups, "0::/pod/main")
    group(groups / "pod" / "main", cpu_max="max 100000")
    assert processors() == 64
    group(groups / "pod", cpu_max="350000 100000")
    assert processors() == 4, "three and a half"
    belongs_to(groups, "3:cpu,cpuacct:/job")
    group(groups / "cpu" / "job", cpu_cfs_quota_us=-1, cpu_cfs_period_us=100_000)
    assert processors() == 64
    group(groups / "cpu" / "job", cpu_cfs_quota_us=50_000, cpu_cfs_period_us=100_000)
    assert processors() == 1


@pytest.mark.formats
def test_doctor_prints_what_the_container_has_and_not_the_machine(groups, monkeypatch, capsys):
    belongs_to(groups, "0::/pod")
    version_2(groups / "pod", 8 * GB, 3 * GB)
    monkeypatch.setattr(sys, "argv", ["tokenworth", "doctor", "--json"])
    with pytest.raises(SystemExit):
        main()
    assert json.loads(capsys.readouterr().out)["memory"] == "8 GB, 5 GB of it free"
