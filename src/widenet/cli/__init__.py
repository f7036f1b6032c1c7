"""The command line `widenet`: one file a command."""
