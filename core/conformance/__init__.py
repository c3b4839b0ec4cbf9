"""What a host relies on in every plugin, checked rule by rule; a broken rule says what to change."""
