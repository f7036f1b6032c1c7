"""Papers as experiments: data in, tables and figures out. One file a paper."""
