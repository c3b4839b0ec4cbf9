"""From official files to records: conversion, splits, labels, sources and samples."""
