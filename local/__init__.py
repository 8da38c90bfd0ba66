"""What runs on one machine in place of AWS and of Saleshandy's API."""
