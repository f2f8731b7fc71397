"""The page of `inpaint paint`: its server, the process that fills, and what the browser gets."""
