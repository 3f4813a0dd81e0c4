"""What people upload as a proof: whether it may be kept, whether it is free of malware, and its pictures.

The content of a file is only ever read in a child process with little memory and time, and with nothing else within its
reach: `child/` is what runs there.
"""
