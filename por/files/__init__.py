"""The storage of files: a bucket if the environment names one, else a directory; and the files of proofs in it.

Both keep a file whole or not at all, never overwrite one, and make none public.
"""
