"""From a setting to rows: profiles say which runs there are, the grid trains and measures them."""
