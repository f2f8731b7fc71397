"""The plugins that come with inpaint. Each folder is what a third party would publish.

They come in through entry points as anyone's, import `inpaint_cli.api` alone, and never each
other.
"""
