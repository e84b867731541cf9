"""Work that other processes do: several at a time on this machine, or as jobs of SLURM.

May import `runs` and `files`. What is done is a task in a folder of its own, here a script's run.
"""
