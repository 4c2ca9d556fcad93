//! What we defined and both sides speak: names, claims, errors, chunks, wire types. Pure: no I/O.
