"""Print the page of bad inputs, and write it: ``python -m fuzz.bad_inputs``."""

from __future__ import annotations

import warnings

from fuzz.bad_inputs.table import PAGE, page

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    text = page()
    PAGE.write_text(text)
    print(text)
