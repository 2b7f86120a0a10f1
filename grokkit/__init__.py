"""grokkit"""
