"""Published objects as spreadsheets: CSV and XLSX out, a preview, and in, all or nothing."""
