"""What commands, pages, notices and assistants all show: values in, values out."""
