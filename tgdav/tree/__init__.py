"""Names, directories, versions, properties, locks, journal: no URL."""
