"""`python -m digits`: the command `digits` of the code in this folder."""

from digits.commands import main

if __name__ == "__main__":
    main()
