"""``redsm5 models --check``: does an encoder of full size train here, in both formats?"""
