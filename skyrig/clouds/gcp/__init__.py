"""Google Cloud, asked through its REST APIs with google-auth's credentials."""
