"""The address space, a module for each part of it."""
