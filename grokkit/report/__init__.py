"""From tables to statements: results, quantities, statistics, verdicts."""
