"""``python -m clearir`` works like ``clearir``."""

from __future__ import annotations

from clearir.cli.app import main

if __name__ == "__main__":
    main()
