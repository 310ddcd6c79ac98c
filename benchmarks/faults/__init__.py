"""What a query answers while servers die, stall, move their slots or lose their data: the fault table."""
