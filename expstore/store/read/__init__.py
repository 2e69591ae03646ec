"""Reading logs: whole, table by table, in part, as they grow, or to see how they end."""
