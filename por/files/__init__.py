"""Where files lie: in a bucket where the environment names one, else in a directory.

Both keep a file whole or not at all, write none over another, and show it to nobody by themselves.
"""
