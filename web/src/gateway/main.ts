/** Entry of the gateway's own page. */
import { mount } from 'svelte';
import '../tokens.css';
import '../app.css';
import './work.css';
import Gateway from './Gateway.svelte';

mount(Gateway, { target: document.getElementById('app') as HTMLElement });
