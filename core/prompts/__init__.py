"""From records to tokens: templates, encoding, batches."""
