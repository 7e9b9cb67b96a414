"""What every program needs: errors, files, configuration, commands, devices, random numbers."""
