"""Foundation of every stage: errors, params, command line, manifest, outputs and limits."""
