"""The table of the elements that is shipped."""

from __future__ import annotations

import pandas as pd

from tasks.models.elements import element_table
from tests.locked import skip_unless_locked
from tools.elements import from_mendeleev


def test_the_table_has_the_numbers_of_mendeleev_to_the_last_bit():
    skip_unless_locked("mendeleev")
    pd.testing.assert_frame_equal(element_table(), from_mendeleev(), check_exact=True)
