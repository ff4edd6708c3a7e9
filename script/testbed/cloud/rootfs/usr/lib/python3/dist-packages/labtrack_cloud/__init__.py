# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes containers into servers and files into volumes: drivers of the test cloud, run by nova-compute and cinder-volume."""
