"""The pages of customers and partners. Each is a function: fetch, act, answer."""
