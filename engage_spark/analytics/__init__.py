"""Analytics from mergeable states of days: rollups, segments, cohorts, correlations, changes, claims."""
