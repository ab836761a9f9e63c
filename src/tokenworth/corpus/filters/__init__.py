"""Stages that look at one document: its form, its quality, what it holds of tasks."""
