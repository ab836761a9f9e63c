"""Scaling laws fitted to finished runs, and what to train with a budget."""

from tokenworth.scaling_laws.loss_fit import ScalingFit, fit_scaling, isoflop_minima
from tokenworth.scaling_laws.run_table import read_runs
from tokenworth.scaling_laws.training_plan import Plan, plans

__all__ = ["Plan", "ScalingFit", "fit_scaling", "isoflop_minima", "plans", "read_runs"]
