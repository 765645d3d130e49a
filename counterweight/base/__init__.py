"""What every stage stands on: errors, params, command line, manifest, outputs and limits."""
