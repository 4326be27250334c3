"""Package data: demo and example sites, catalogue, calendars, recipes."""
