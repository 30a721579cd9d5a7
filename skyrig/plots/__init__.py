"""What a job did, as pictures: series out of logs and samples, drawn in the terminal or as PNG."""
