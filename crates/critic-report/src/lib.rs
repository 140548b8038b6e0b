//! Run records to an HTML page.
