"""The HTTP microservice; its folders and files are the path of a request."""
