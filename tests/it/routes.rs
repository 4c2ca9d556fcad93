//! What each URL answers; the files lie as the URLs do.
