"""`python -m tgdav` and the `tgdav` command."""

from tgdav.cli import main

if __name__ == "__main__":
    main()
