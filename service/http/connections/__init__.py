"""uvicorn's protocols, guarded."""
