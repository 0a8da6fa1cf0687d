"""Engines that run tasks outside this machine, through `concurrent.futures.Executor`."""
