"""Scenes, where they come from, and which pixels train, validate and test."""
