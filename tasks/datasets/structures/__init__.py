"""What geometry tells: boxes, molecules, units that look wrong."""
