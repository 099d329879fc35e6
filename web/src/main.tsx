import { render } from 'preact';
import { ChatPage } from './chat';

const root = document.getElementById('app');
if (root) render(<ChatPage />, root);
