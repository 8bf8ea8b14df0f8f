"""The data files that come with minigen. Installed as the package minigen_data; README.md here says what they are."""
