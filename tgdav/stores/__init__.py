"""Packs at locators: no SQL, no keys, no names."""
