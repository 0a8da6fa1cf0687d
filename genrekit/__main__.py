"""python -m genrekit."""

from genrekit.cli.main import main

if __name__ == "__main__":
    main()
