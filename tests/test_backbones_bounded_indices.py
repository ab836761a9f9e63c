"""An index outside its tensor is an error of Python before an operator gets it, whatever the device would do."""

import pytest
import torch
from torch import nn

from tokenworth.backbones.structure.bounded_indices import BoundedIndices, bounded_indices

TABLE = torch.arange(12.0).reshape(4, 3)
INSIDE, OUTSIDE = torch.tensor([0, 3]), torch.tensor([1, 4])
READS = {
    "embedding": lambda ids: nn.functional.embedding(ids, TABLE),
    "index": lambda ids: TABLE[ids],
    "index behind another": lambda ids: TABLE.T[:, ids],
    "index_select": lambda ids: TABLE.index_select(0, ids),
    "gather": lambda ids: TABLE.gather(0, ids[:, None]),
    "scatter": lambda ids: TABLE.scatter(0, ids[:, None], 1.0),
    "index_put": lambda ids: TABLE.index_put((ids,), torch.tensor(1.0)),
}


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
def test_reading_outside_is_found_before_the_operator_runs(read):
    with BoundedIndices():
        assert torch.equal(read(INSIDE), read(INSIDE))
        with pytest.raises(IndexError, match="reads outside a dimension of 4"):
            read(OUTSIDE)


def test_negative_indices_and_masks_and_no_indices_are_taken():
    with BoundedIndices():
        assert torch.equal(TABLE[torch.tensor([-1])], TABLE[3:])
        assert len(TABLE[torch.tensor([True, False, True, False])]) == 2
        assert TABLE[torch.zeros(0, dtype=torch.long)].shape == (0, 3)


def test_the_processor_has_an_error_of_its_own():
    with bounded_indices("cpu"), pytest.raises(IndexError, match="out of range"):
        nn.functional.embedding(OUTSIDE, TABLE)


@pytest.mark.gpu
def test_a_card_goes_on_after_a_question_that_read_outside():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    table, ids = TABLE.cuda(), OUTSIDE.cuda()
    with bounded_indices("cuda"), pytest.raises(IndexError):
        nn.functional.embedding(ids, table)
    assert table.sum().item() == TABLE.sum().item()
