# SPDX-License-Identifier: MIT
"""All boot tests by name."""

import functools

import example_cases
import faults_cases
import monitor_cases
import pae_cases
import runner_cases
import series_cases
import tour_cases
import walk_cases


def all_cases():
    """name -> function without arguments; in the order in which they run."""
    table = {}
    for module in (tour_cases, walk_cases, pae_cases, monitor_cases, faults_cases, runner_cases,
                   example_cases, series_cases):
        for name, function, *arguments in module.cases():
            table[name] = functools.partial(function, *arguments)
    return table
